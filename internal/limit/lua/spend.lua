-- Takes one request off each budget, or off none.
-- KEYS[i]  a budget; holds the instant (µs) at which it will be full again, and expires then
-- ARGV[i]  how many requests a minute it allows
-- Returns 0 when all had room, else after how many µs all will have.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local minute = 60000000
local wait = 0
local full = {}
for i, key in ipairs(KEYS) do
  local before = math.max(tonumber(redis.call('GET', key) or '0'), now)
  -- A clock that was set back must keep nobody out for longer than a budget lasts.
  if before > now + minute then before = now + minute end
  full[i] = before + minute / tonumber(ARGV[i])
  wait = math.max(wait, full[i] - now - minute)
end
if wait > 0 then
  return math.ceil(wait)
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000) + 1)
end
return 0
