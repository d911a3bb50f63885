-- Gives up a person's hold. The person's record stays until it would have expired, saying that it was released: a
-- confirm with its token is then refused.
--
-- KEYS[1]  the person's latest hold (hash)
-- KEYS[2]  the live holds of the slot that ARGV[2] names
-- KEYS[3]  the slots that changed lately (zset)
-- ARGV[1]  hold id   ARGV[2]  slot id   ARGV[3]  how long KEYS[3] is kept, in ms
--
-- Returns 'released', or 'other' if the person's latest hold is another one (or none).
local mine = redis.call('HMGET', KEYS[1], 'hold', 'slot')
if mine[1] ~= ARGV[1] or mine[2] ~= ARGV[2] then
  return 'other'
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'released', '1')
local t = redis.call('TIME')
if redis.call('ZADD', KEYS[3], t[1] * 1000 + math.floor(t[2] / 1000), ARGV[2]) == 1 then
  redis.call('PEXPIRE', KEYS[3], ARGV[3]) -- whoever reads it renews this
end
return 'released'
