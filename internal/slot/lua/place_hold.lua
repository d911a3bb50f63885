-- Places a hold for a person on a slot, or says why not. Safe to run twice with the same arguments: the second run
-- finds the hold of the first and gives it again.
--
-- KEYS[1]  the slot's copy (hash)
-- KEYS[2]  the slot's live holds (zset: hold id -> instant in ms at which it is forgotten)
-- KEYS[3]  the person's latest hold (hash)
-- KEYS[4]  the person's placements in the current window (counter)
-- KEYS[5]  the live holds of the slot that ARGV.prior_slot names; the same as KEYS[2] where there is none
-- KEYS[6]  the slots that changed lately (zset: slot id -> instant in ms), from which documents are kept current
--
-- KEYS[7]  the holds that were given up (zset: hold id -> instant in ms from which it couldn't be confirmed anyway)
--
-- ARGV[1]  id for the new hold       ARGV[2]  slot id
-- ARGV[3]  ttl in ms: what the citizen is told
-- ARGV[4]  grace in ms: how much longer the place is kept, so that it isn't given away while a booking commits
-- ARGV[5]  placements allowed        ARGV[6]  in this window, in ms
-- ARGV[7]  instead_of: id of the hold to give up, or ''
-- ARGV[8]  prior_slot: the slot that KEYS[5] belongs to, or ''
-- ARGV[9]  replaces: the booking to be moved, or ''
-- ARGV[10] told: what else the hold's token says, which nobody here reads
-- ARGV[11] how long KEYS[6] is kept, in ms   ARGV[12] the longest that any hold may last, in ms
--
-- Returns an array; its first element is one of
--   new                         then the instant: the hold is the one that was asked for
--   placed, same, holds_other   then the fields of the person's hold (see names below)
--   ending                      then ms until the person's hold is forgotten
--   limit                       then ms until placing is allowed again
--   missing                     the copy isn't here: load it and ask again
--   prior                       then the slot of the hold to give up: ask again with it as prior_slot
--   closed                      then the slot's state
--   full
--   booked                      the person is marked as booked, and doesn't say which booking to move
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ttl, grace = tonumber(ARGV[3]), tonumber(ARGV[4])

local names = {'hold', 'slot', 'placed', 'expires', 'replaces', 'told'}
local function answer(code)
  local a = redis.call('HMGET', KEYS[3], unpack(names))
  table.insert(a, 1, code)
  return a
end

local mine = redis.call('HMGET', KEYS[3], 'hold', 'slot', 'expires', 'released', 'replaces', 'booked')
if mine[6] and ARGV[9] == '' then
  return {'booked'}
end
local held, held_slot, ends = mine[1], mine[2], nil
local live = false
if held and not mine[4] then
  if held == ARGV[1] then
    return answer('placed') -- a retry of the very same call
  end
  ends = tonumber(mine[3])
  if now < ends then
    live = true
  elseif now < ends + grace then
    -- Told to be over, but perhaps being confirmed at this moment.
    return {'ending', ends + grace - now}
  end
end
if live and ARGV[7] ~= held then
  -- The person has just what is asked for: a retry, with or without the instead_of of the first try.
  if held_slot == ARGV[2] and mine[5] == ARGV[9] then
    return answer('same')
  end
  return answer('holds_other')
end
if live and held_slot ~= ARGV[2] and held_slot ~= ARGV[8] then
  return {'prior', held_slot}
end

local copy = redis.call('HMGET', KEYS[1], 'capacity', 'booked', 'state')
if not copy[1] then
  return {'missing'}
end
if copy[3] ~= 'open' then
  return {'closed', copy[3]}
end
-- What is over stays in the set until the copy is next replaced, and isn't counted.
local holds = redis.call('ZCOUNT', KEYS[2], now, '+inf')
if live and held_slot == ARGV[2] then
  holds = holds - 1 -- one's own, which the new one takes the place of
end
if tonumber(copy[2]) + holds >= tonumber(copy[1]) then
  return {'full'}
end
-- Counted only when there is a place to have, and before anything is changed.
local placements = redis.call('INCR', KEYS[4])
if placements == 1 then
  redis.call('PEXPIRE', KEYS[4], ARGV[6])
elseif placements > tonumber(ARGV[5]) then
  return {'limit', math.max(redis.call('PTTL', KEYS[4]), 1)}
end

if live then
  redis.call('ZREM', held_slot == ARGV[2] and KEYS[2] or KEYS[5], held)
  redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now)
  redis.call('ZADD', KEYS[7], ends + grace, held)
  redis.call('PEXPIRE', KEYS[7], tonumber(ARGV[12]) + grace)
end
local expires, forget = now + ttl, now + ttl + grace
redis.call('ZADD', KEYS[2], forget, ARGV[1])
-- The set must outlive its longest hold, also one that was placed while holds lasted longer.
redis.call('PEXPIREAT', KEYS[2], forget + tonumber(ARGV[12]))
if mine[4] or mine[6] then
  redis.call('HDEL', KEYS[3], 'released', 'booked') -- this is a new hold, or a move: confirming it sets the mark again
end
redis.call('HSET', KEYS[3], 'hold', ARGV[1], 'slot', ARGV[2], 'placed', now, 'expires', expires, 'replaces', ARGV[9],
  'told', ARGV[10])
redis.call('PEXPIREAT', KEYS[3], forget)
local new = redis.call('ZADD', KEYS[6], now, ARGV[2])
if live and held_slot ~= ARGV[2] then
  new = new + redis.call('ZADD', KEYS[6], now, held_slot)
end
if new > 0 then
  redis.call('PEXPIRE', KEYS[6], ARGV[11]) -- whoever reads it renews this
end
return {'new', now}
