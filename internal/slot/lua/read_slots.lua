-- Reads what Redis knows of slots, so that an instance can keep their documents current. It changes nothing.
--
-- KEYS  the copies of slots, and then as many sets of live holds (zset: hold id -> instant in ms at which it is forgotten)
--
-- Returns an array: this instant in ms, then for each slot three elements: its copy (nothing where there is none), how many of
-- its holds aren't forgotten yet, and when the first of them will be ('' where there is none).
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local later = string.format('(%.0f', now)
local out = {now}
local slots = #KEYS / 2
local copies = redis.call('MGET', unpack(KEYS, 1, slots))
for i = 1, slots do
  local holds = KEYS[slots + i]
  local held, first = redis.call('ZCOUNT', holds, later, '+inf'), ''
  if held > 0 then
    first = redis.call('ZRANGEBYSCORE', holds, later, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  end
  out[#out + 1] = copies[i]
  out[#out + 1] = held
  out[#out + 1] = first
end
return out
