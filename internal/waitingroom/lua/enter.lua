-- Somebody comes in, or is inside already.
-- KEYS  1 inside  2 since  3 came
-- ARGV  1 person  2 now (ms)  3 until (ms)  4 second of the call, or ''
-- Returns since when the person is inside (ms).
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ends and tonumber(ends) > tonumber(ARGV[2]) then
  local since = redis.call('HGET', KEYS[2], ARGV[1])
  if since then
    redis.call('ZADD', KEYS[1], 'GT', ARGV[3], ARGV[1])
    return tonumber(since)
  end
elseif ARGV[4] ~= '' then
  redis.call('HINCRBY', KEYS[3], ARGV[4], 1)
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return tonumber(ARGV[2])
