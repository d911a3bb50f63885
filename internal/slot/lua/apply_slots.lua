-- Replaces the copies of slots by newer ones of Postgres, and drops holds that have been decided there. Applying is
-- idempotent and in any order: an older version of the same generation changes nothing. Many slots go in one call, because
-- calling costs as much as what is done for one of them.
--
-- KEYS[1]  the slots that changed lately (zset)
-- then for each slot: its copy (hash), its live holds (zset), and the records of the persons whose holds were decided. A
-- person who is booked now gets a mark in place of the hold, so that a late retry of placing doesn't take a second place.
-- ARGV[1]  how long a copy is kept, in ms; whoever misses it loads it again
-- ARGV[2]  how long a mark is kept, in ms
-- ARGV[3]  how long KEYS[1] is kept, in ms
-- ARGV[4]  '1' if a copy that wasn't there is no news: whoever compares all slots with an empty Redis tells nobody anything
-- then for each slot: id, capacity, booked, state, version, generation, number of decided holds, and for each of these the
-- hold's id and '1' if it was booked
--
-- Returns for each slot 0 if the copy was as new already, 1 if there was none, 2 if there was an older one.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local instant = whole(now)
local results, changed = {}, {}
local at_once = 1000 -- members of one command: Lua unpacks onto a stack that is not endless
local k, a = 2, 5
while a <= #ARGV do
  local copy, holds = KEYS[k], KEYS[k + 1]
  local id, version, generation, decided = ARGV[a], ARGV[a + 4], ARGV[a + 5], tonumber(ARGV[a + 6])
  local old = redis.call('HMGET', copy, 'version', 'generation')
  local result = 0
  if not old[1] or old[2] ~= generation or tonumber(old[1]) < tonumber(version) then
    redis.call('HSET', copy, 'capacity', ARGV[a + 1], 'booked', ARGV[a + 2], 'state', ARGV[a + 3],
      'version', version, 'generation', generation)
    result = 2
    if not old[1] then
      redis.call('PEXPIRE', copy, ARGV[1])
      result = 1
    end
  end
  k, a = k + 2, a + 7
  local over = {}
  for i = 1, decided do
    local person, hold, booked = KEYS[k], ARGV[a], ARGV[a + 1]
    k, a = k + 1, a + 2
    over[i] = hold
    local mine = read_person(person)
    if not mine or mine.hold == '' or mine.hold == hold then
      if booked == '1' then
        mine = without_hold(mine, 'booked')
        write_person(person, mine, math.max(now + ARGV[2], tonumber(mine.window)))
      elseif mine and mine.hold == hold then
        write_person(person, without_hold(mine, 'none'))
      end
    end
  end
  local dropped = 0
  for i = 1, decided, at_once do
    dropped = dropped + redis.call('ZREM', holds, unpack(over, i, math.min(i + at_once - 1, decided)))
  end
  if result == 2 or dropped > 0 or (result == 1 and ARGV[4] ~= '1') then
    if version % 8 == 0 then
      redis.call('ZREMRANGEBYSCORE', holds, '-inf', instant) -- holds that are over: nobody counts them, so there is time
    end
    changed[#changed + 1] = instant
    changed[#changed + 1] = id
  end
  results[#results + 1] = result
end
if #changed > 0 and redis.call('ZADD', KEYS[1], unpack(changed)) > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[3]) -- whoever reads it renews this
end
return results
