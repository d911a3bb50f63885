-- Replaces the copy of a slot by a newer one of Postgres, and drops holds that have been decided there. Applying is
-- idempotent and in any order: an older version of the same generation changes nothing.
--
-- KEYS[1]  the slot's copy (hash)
-- KEYS[2]  the slot's live holds (zset)
-- KEYS[3]  the slots that changed lately (zset)
-- KEYS[4…] the latest holds of the persons whose holds were decided (hashes). A person who is booked now gets a mark in
--          place of the hold, so that a late retry of placing doesn't take a second place.
-- ARGV[1]  capacity   ARGV[2]  booked   ARGV[3]  state   ARGV[4]  version   ARGV[5]  generation
-- ARGV[6]  how long a replaced copy is kept, in ms; whoever misses it loads it again
-- ARGV[7]  how long a mark is kept, in ms
-- ARGV[8]  slot id   ARGV[9]  how long KEYS[3] is kept, in ms
-- ARGV[10…] in pairs: the decided hold of the person of the same place in KEYS[4…], and '1' if it was booked
--
-- Returns 0 if the copy was as new already, 1 if there was none, 2 if there was an older one.
local old = redis.call('HMGET', KEYS[1], 'version', 'generation')
local replaced = 0
if not old[1] or old[2] ~= ARGV[5] or tonumber(old[1]) < tonumber(ARGV[4]) then
  redis.call('HSET', KEYS[1], 'capacity', ARGV[1], 'booked', ARGV[2], 'state', ARGV[3],
    'version', ARGV[4], 'generation', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  replaced = old[1] and 2 or 1
end
local dropped = 0
for i = 4, #KEYS do
  local hold, booked = ARGV[2 * i + 2], ARGV[2 * i + 3]
  dropped = dropped + redis.call('ZREM', KEYS[2], hold)
  local latest = redis.call('HGET', KEYS[i], 'hold')
  if not latest or latest == hold then
    if latest then
      redis.call('DEL', KEYS[i])
    end
    if booked == '1' then
      redis.call('HSET', KEYS[i], 'booked', '1')
      redis.call('PEXPIRE', KEYS[i], ARGV[7])
    end
  end
end
if replaced > 0 or dropped > 0 then
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now) -- holds that are over
  if redis.call('ZADD', KEYS[3], now, ARGV[8]) == 1 then
    redis.call('PEXPIRE', KEYS[3], ARGV[9]) -- whoever reads it renews this
  end
end
return replaced
