-- Forgets whose admission is over, a thousand at a time, and counts the others.
-- KEYS  1 inside  2 since
-- ARGV  1 now (ms)
-- Returns how many are inside.
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 1000)
if #over > 0 then
  redis.call('ZREM', KEYS[1], unpack(over))
  redis.call('HDEL', KEYS[2], unpack(over))
end
return redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[1], '+inf')
