-- Places holds for persons on slots of one campaign, or says of each why not. Many go in one call, because calling costs
-- as much as placing; they are placed in their order. Safe to run twice with the same arguments: the second run finds the
-- holds of the first and gives them again.
--
-- KEYS[1]  the slots that changed lately (zset: slot id -> instant in ms), from which documents are kept current
-- KEYS[2]  the holds that were given up (zset: hold id -> instant in ms from which it couldn't be confirmed anyway)
-- then for each placement
--   the slot's copy
--   the slot's live holds (zset: hold id -> instant in ms at which it is forgotten)
--   the person's record
-- and after all of these, for each placement that names a prior_slot, the live holds of that one
--
-- ARGV[1]  grace in ms: how much longer than told a place is kept, so that it isn't given away while a booking commits
-- ARGV[2]  placements allowed to a person   ARGV[3]  in this window, in ms
-- ARGV[4]  how long KEYS[1] is kept, in ms  ARGV[5]  the longest that any hold may last, in ms
-- then for each placement
--   id for the new hold, slot id
--   ttl in ms: what the citizen is told
--   '', or instead_of|prior_slot|replaces: id of the hold to give up, the slot that this one is at, and the booking to be moved,
--     or nothing for each
--   told: what else the hold's token says
--
-- Returns this instant in ms, then for each placement one of
--   new                         the hold is the one that was asked for, placed at that instant
--   missing                     the copy isn't here: load it and ask again
--   full
--   booked                      the person is marked as booked, and doesn't say which booking to move
-- or an array that begins with
--   placed, same, holds_other   then hold, slot, placed, expires, replaces, told of the person's hold
--   ending                      then ms until the person's hold is forgotten
--   limit                       then ms until placing is allowed again
--   prior                       then the slot of the hold to give up: ask again with it as prior_slot
--   closed                      then the slot's state
--   error                       then what went wrong, with this placement alone
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local instant, soon = whole(now), soon_after(now)
local grace, allowed, window, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
-- What this call knows already: the copies and the numbers of holds of slots. A stampede asks for one slot again and again.
local copies, counts = {}, {}
-- What it has still to write: the holds to add to each set, and the slots that changed.
local added, changed, noted = {}, {}, {}

local function answer(code, p)
  return {code, p.hold, p.slot, p.placed, p.expires, p.replaces, p.told}
end

-- Writes the holds that were added to a set.
local function settle(holds)
  local set = added[holds]
  if set then
    redis.call('ZADD', holds, unpack(set))
    -- The set must outlive its longest hold, also one that was placed while holds lasted longer.
    redis.call('PEXPIREAT', holds, whole(set.last + longest))
    added[holds] = nil
  end
end

-- The units that are free at a slot, and how many live holds there are; or nothing, and why.
local function look(key, holds)
  local copy = copies[key]
  if not copy then
    return nil, 'missing'
  end
  if not copy.state then
    local capacity, booked, state = string.match(copy.text, '^(%d+)|(%d+)|(%a+)|')
    copy.left, copy.state = capacity - booked, state
  end
  if copy.state ~= 'open' then
    return nil, {'closed', copy.state}
  end
  -- What is over stays in the set until the copy is replaced, and isn't counted.
  local held = counts[holds]
  if not held then
    settle(holds)
    held = redis.call('ZCOUNT', holds, instant, '+inf')
    counts[holds] = held
  end
  return copy.left - held, held
end

-- Remembers that a slot changed.
local function note(slot)
  if not noted[slot] then
    noted[slot] = true
    changed[#changed + 1] = soon
    changed[#changed + 1] = slot
  end
end

-- Adds a hold to those of a slot, once all are placed: those of one slot in one command.
local function add(holds, id, forget, held)
  local set = added[holds]
  if not set then
    set = {last = forget}
    added[holds] = set
  end
  set[#set + 1] = whole(forget)
  set[#set + 1] = id
  set.last = math.max(set.last, forget)
  counts[holds] = held
end

local function place(k, a, instead, prior, replaces, prior_holds)
  local holds, person, id, slot = KEYS[k + 1], KEYS[k + 2], ARGV[a], ARGV[a + 1]
  local expires = now + ARGV[a + 2]
  local forget = expires + grace
  local free, held = look(KEYS[k], holds)
  local text
  if free and free > 0 then
    -- Most have no record yet. Then writing it and finding that there was none is one command.
    text = redis.call('SET', person,
      person_text('held', id, slot, instant, whole(expires), replaces, '1', whole(now + window), ARGV[a + 4]),
      'NX', 'GET', 'PXAT', whole(math.max(forget, now + window)))
    if not text then
      add(holds, id, forget, held + 1)
      note(slot)
      return 'new'
    end
  else
    text = redis.call('GET', person)
  end
  local mine = text and parse_person(text)
  if mine and mine.state == 'booked' and replaces == '' then
    return 'booked'
  end
  local live, ends = false, 0
  if mine and mine.state == 'held' then
    if mine.hold == id then
      return answer('placed', mine) -- a retry of the very same call
    end
    ends = tonumber(mine.expires)
    if now < ends then
      live = true
    elseif now < ends + grace then
      -- Told to be over, but perhaps being confirmed at this moment.
      return {'ending', ends + grace - now}
    end
  end
  if live and instead ~= mine.hold then
    -- The person has just what is asked for: a retry, with or without the instead_of of the first try.
    if mine.slot == slot and mine.replaces == replaces then
      return answer('same', mine)
    end
    return answer('holds_other', mine)
  end
  if live and mine.slot ~= slot and mine.slot ~= prior then
    return {'prior', mine.slot}
  end

  if not free then
    return held -- why there is none
  end
  if live and mine.slot == slot then
    free, held = free + 1, held - 1 -- one's own, which the new one takes the place of
  end
  if free <= 0 then
    return 'full'
  end
  -- Counted only when there is a place to have, and before anything is changed.
  local placements, over = 1, now + window
  local counted = mine and tonumber(mine.window) or 0
  if now < counted then
    placements, over = mine.placements + 1, counted
    if placements > allowed then
      return {'limit', over - now}
    end
  end

  if live then
    local theirs = mine.slot == slot and holds or prior_holds
    settle(theirs)
    counts[theirs] = nil
    redis.call('ZREM', theirs, mine.hold)
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', instant)
    redis.call('ZADD', KEYS[2], whole(ends + grace), mine.hold)
    redis.call('PEXPIRE', KEYS[2], whole(longest + grace))
    if mine.slot ~= slot then
      note(mine.slot)
    end
  end
  add(holds, id, forget, not live and held + 1 or nil)
  redis.call('SET', person,
    person_text('held', id, slot, instant, whole(expires), replaces, whole(placements), whole(over), ARGV[a + 4]),
    'PXAT', whole(math.max(forget, over)))
  note(slot)
  return 'new'
end

local results = {now}
local placements = (#ARGV - 5) / 5
local asked = {}
for k = 3, 3 * placements, 3 do
  if copies[KEYS[k]] == nil then
    copies[KEYS[k]] = false
    asked[#asked + 1] = KEYS[k]
  end
end
for i, text in ipairs(redis.call('MGET', unpack(asked))) do
  copies[asked[i]] = text and {text = text}
end
local k, priors = 3, 3 + 3 * placements
for a = 6, #ARGV, 5 do
  local instead, prior, replaces, prior_holds = '', '', '', nil
  if ARGV[a + 3] ~= '' then
    instead, prior, replaces = string.match(ARGV[a + 3], '^([^|]*)|([^|]*)|([^|]*)$')
    if prior ~= '' then
      prior_holds = KEYS[priors]
      priors = priors + 1
    end
  end
  local ok, result = pcall(place, k, a, instead, prior, replaces, prior_holds)
  if not ok then
    result = {'error', type(result) == 'table' and result.err or tostring(result)}
  end
  results[#results + 1] = result
  k = k + 3
end
for holds in pairs(added) do
  settle(holds)
end
if #changed > 0 and redis.call('ZADD', KEYS[1], unpack(changed)) > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[4]) -- whoever reads it renews this
end
return results
