-- Forgets changes that every instance has had time to hear of, and keeps the others for as long again. Counting and
-- removing are one step, because another instance may trim at the same moment.
--
-- KEYS[1]  the slots that changed lately (zset: slot id -> instant in ms)
-- ARGV[1]  how long a change is remembered, in ms   ARGV[2]  how many are forgotten at most
--
-- Returns how many were forgotten.
local t = redis.call('TIME')
local before = string.format('(%.0f', t[1] * 1000 + math.floor(t[2] / 1000) - tonumber(ARGV[1]))
local old = math.min(redis.call('ZCOUNT', KEYS[1], '-inf', before), tonumber(ARGV[2]))
if old > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, old - 1)
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return old
