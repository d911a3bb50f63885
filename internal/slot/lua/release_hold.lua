-- Gives up a person's hold. The person's record stays until it would have expired, saying that it was released: a
-- confirm with its token is then refused.
--
-- KEYS[1]  the person's latest hold (hash)
-- KEYS[2]  the live holds of the slot that ARGV[2] names
-- ARGV[1]  hold id   ARGV[2]  slot id
--
-- Returns 'released', or 'other' if the person's latest hold is another one (or none).
local mine = redis.call('HMGET', KEYS[1], 'hold', 'slot')
if mine[1] ~= ARGV[1] or mine[2] ~= ARGV[2] then
  return 'other'
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'released', '1')
return 'released'
