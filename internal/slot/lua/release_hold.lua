-- Gives up a person's hold. The person's record stays until it would have expired, saying that it was released, and the hold
-- is remembered as given up: a confirm with its token is then refused.
--
-- KEYS[1]  the person's record
-- KEYS[2]  the live holds of the slot that ARGV[2] names
-- KEYS[3]  the slots that changed lately (zset)
-- KEYS[4]  the holds that were given up (zset: hold id -> instant in ms from which it couldn't be confirmed anyway)
-- ARGV[1]  hold id   ARGV[2]  slot id   ARGV[3]  how long KEYS[3] is kept, in ms
-- ARGV[4]  grace in ms, as for placing   ARGV[5]  the longest that any hold may last, in ms
--
-- Returns 'released', or 'other' if the person's latest hold is another one (or none).
local text = redis.call('GET', KEYS[1])
local mine = text and parse_person(text)
if not mine or mine.hold ~= ARGV[1] or mine.slot ~= ARGV[2] then
  return 'other'
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local instant = whole(now)
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('SET', KEYS[1], 'released' .. string.sub(text, #mine.state + 1), 'KEEPTTL') -- the state is what a record begins with
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', instant)
redis.call('ZADD', KEYS[4], whole(mine.expires + ARGV[4]), ARGV[1])
redis.call('PEXPIRE', KEYS[4], whole(ARGV[5] + ARGV[4]))
if redis.call('ZADD', KEYS[3], soon_after(now), ARGV[2]) == 1 then
  redis.call('PEXPIRE', KEYS[3], ARGV[3]) -- whoever reads it renews this
end
return 'released'
