-- What every script begins with: how the record of a person's latest hold is read and written. It is one text, because
-- reading and writing it is then two commands instead of five, and the commands are most of what a script costs; and no more of
-- it is taken apart than is needed.
--
--   state|hold|slot|placed|expires|replaces|placements|window|told
--
-- state       held, released, booked (no hold, but an active booking), or none
-- placed, expires, window   instants in ms; window is when the placements are counted anew
-- told        what else the hold's token says, which nobody here reads; the only field that may have a bar in it
--
-- All fields are texts, and numbers only where something is computed of them. What is computed goes back as whole(number):
-- Lua would print it as a fraction. Making that text costs as much as a small command, and a call needs the same few instants
-- for everybody, so each is made once.
local texts = {}
local function whole(n)
  local text = texts[n]
  if not text then
    text = string.format('%d', n)
    texts[n] = text
  end
  return text
end

-- When a change is told to have been: at the end of the quarter of a second in which it is. Whoever reads what changed before
-- that reads it once more after it, so that nothing is missed; and a slot that changes all the time is written down once in a
-- while, instead of moved to the end of a long list for each booking.
local function soon_after(now)
  return whole(now - now % 250 + 250)
end

local function parse_person(text)
  local p = {}
  p.state, p.hold, p.slot, p.placed, p.expires, p.replaces, p.placements, p.window, p.told =
    string.match(text, '^(%a+)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
  return p
end

local function person_text(state, hold, slot, placed, expires, replaces, placements, window, told)
  return state .. '|' .. hold .. '|' .. slot .. '|' .. placed .. '|' .. expires .. '|' .. replaces .. '|' .. placements .. '|' ..
    window .. '|' .. told
end

-- Of a record: its hold, what the person placed and until when that counts as one text, and the latter; of none, an empty one.
local function hold_of(text)
  if not text then
    return '', '0|0', '0'
  end
  return string.match(text, '^%a+|([^|]*)|[^|]*|[^|]*|[^|]*|[^|]*|([^|]*|([^|]*))|')
end

-- A record without a hold: what the person placed stays counted.
local function no_hold(state, counted)
  return state .. '||||||' .. counted .. '|'
end
