-- What every script begins with: how the record of a person's latest hold is read and written. It is one text, because
-- reading and writing it is then two commands instead of five, and the commands are most of what a script costs.
--
--   state|hold|slot|placed|expires|replaces|placements|window|told
--
-- state       held, released, booked (no hold, but an active booking), or none
-- placed, expires, window   instants in ms; window is when the placements are counted anew
-- told        what else the hold's token says, which nobody here reads; the only field that may have a bar in it
--
-- All fields are texts, and numbers only where something is computed of them. What is computed goes back as whole(number):
-- Lua would print it as a fraction, which costs as much as a small command.
local function whole(n)
  return string.format('%d', n)
end

local function read_person(key)
  local text = redis.call('GET', key)
  if not text then
    return nil
  end
  local p = {}
  p.state, p.hold, p.slot, p.placed, p.expires, p.replaces, p.placements, p.window, p.told =
    string.match(text, '^(%a+)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
  return p
end

-- Writes a record, kept until an instant in ms, or as long as before without one.
local function write_person(key, p, until_ms)
  local text = table.concat({p.state, p.hold, p.slot, p.placed, p.expires, p.replaces, p.placements, p.window, p.told}, '|')
  if until_ms then
    redis.call('SET', key, text, 'PXAT', whole(until_ms))
  else
    redis.call('SET', key, text, 'KEEPTTL')
  end
end

-- Takes the hold out of a record; what the person placed stays counted.
local function without_hold(p, state)
  return {
    state = state, hold = '', slot = '', placed = '', expires = '', replaces = '',
    placements = p and p.placements or '0', window = p and p.window or '0', told = '',
  }
end
