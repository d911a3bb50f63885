-- Takes back the mark that a person has booked.
--
-- KEYS[1]  the person's record
local text = redis.call('GET', KEYS[1])
if text and string.sub(text, 1, 7) == 'booked|' then
  local _, counted = hold_of(text)
  redis.call('SET', KEYS[1], no_hold('none', counted), 'KEEPTTL')
end
return 'OK'
