-- Replaces the copies of slots by newer ones of Postgres, and drops holds that have been decided there. Applying is
-- idempotent and in any order: an older version of the same generation changes nothing. Many slots go in one call, because
-- calling costs as much as what is done for one of them.
--
-- KEYS[1]  the slots that changed lately (zset)
-- then for each slot: its copy and its live holds (zset)
-- and after all of these, slot by slot, the records of the persons whose holds were decided. A person who is booked now gets a
-- mark in place of the hold, so that a late retry of placing doesn't take a second place.
-- ARGV[1]  how long a copy is kept, in ms; whoever misses it loads it again
-- ARGV[2]  how long a mark is kept, in ms
-- ARGV[3]  how long KEYS[1] is kept, in ms
-- ARGV[4]  'changed'   somebody changed these slots
--          'repeated'  somebody did, and most likely pushed them
--          'compared'  nobody did: a copy that wasn't there is no news. Whoever compares all slots with an empty Redis tells
--                      nobody anything
-- ARGV[5]  number of slots
-- then for each slot: id, its copy as text, number of decided holds, and for each of these the hold's id and '1' if it was
-- booked. The text is capacity|booked|state|version|generation.
--
-- Returns for each slot 0 if the copy was as new already, 1 if there was none, 2 if there was an older one.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local instant, soon = whole(now), soon_after(now)
local results, changed = {}, {}
local at_once = 1000 -- members of one command: Lua unpacks onto a stack that is not endless
local now_and_mark = now + ARGV[2]
local just = ARGV[4] == 'changed'

-- Replaces a copy unless it is as new already. What was just changed is newer, most times: then writing it and finding that is one
-- command, and what was newer is put back. Anything else is as new already, most times.
local function renew(copy, text, version, generation)
  local old
  if just then
    old = redis.call('SET', copy, text, 'KEEPTTL', 'GET')
  else
    old = redis.call('GET', copy)
  end
  if not old then
    redis.call('SET', copy, text, 'PX', ARGV[1])
    return 1
  end
  local v, g = string.match(old, '|(%d+)|([^|]*)$')
  local newer = g ~= generation or tonumber(v) < tonumber(version)
  if newer ~= just then
    redis.call('SET', copy, newer and text or old, 'KEEPTTL')
  end
  return newer and 2 or 0
end

-- What is known of the persons, read at once: a command of many costs little more than one of one.
local slots = tonumber(ARGV[5])
local first = 2 + 2 * slots -- key of a person
local known = {}
for i = first, #KEYS, at_once do
  local last = math.min(i + at_once - 1, #KEYS)
  for j, text in ipairs(redis.call('MGET', unpack(KEYS, i, last))) do
    known[KEYS[i + j - 1]] = text
  end
end

-- Writes a person's record.
local function write(person, text, ...)
  redis.call('SET', person, text, ...)
  known[person] = text
end

local k, a = first, 6
for s = 1, slots do
  local copy, holds = KEYS[2 * s], KEYS[2 * s + 1]
  local id, text, decided = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2])
  local version, generation = string.match(text, '|(%d+)|([^|]*)$')
  local result = renew(copy, text, version, generation)
  a = a + 3
  local over = {}
  for i = 1, decided do
    local person, hold, booked = KEYS[k], ARGV[a], ARGV[a + 1]
    k, a = k + 1, a + 2
    over[i] = hold
    local theirs, counted, window = hold_of(known[person])
    if theirs == '' or theirs == hold then
      if booked == '1' then
        write(person, no_hold('booked', counted), 'PXAT', whole(math.max(now_and_mark, tonumber(window))))
      elseif theirs == hold then
        write(person, no_hold('none', counted), 'KEEPTTL')
      end
    end
  end
  local dropped = 0
  for i = 1, decided, at_once do
    dropped = dropped + redis.call('ZREM', holds, unpack(over, i, math.min(i + at_once - 1, decided)))
  end
  if result == 2 or dropped > 0 or (result == 1 and ARGV[4] ~= 'compared') then
    if version % 8 == 0 then
      redis.call('ZREMRANGEBYSCORE', holds, '-inf', instant) -- holds that are over: nobody counts them, so there is time
    end
    changed[#changed + 1] = soon
    changed[#changed + 1] = id
  end
  results[#results + 1] = result
end
if #changed > 0 and redis.call('ZADD', KEYS[1], unpack(changed)) > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[3]) -- whoever reads it renews this
end
return results
