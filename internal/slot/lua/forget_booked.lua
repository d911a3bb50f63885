-- Takes back the mark that a person has booked.
--
-- KEYS[1]  the person's record
local mine = read_person(KEYS[1])
if mine and mine.state == 'booked' then
  write_person(KEYS[1], without_hold(mine, 'none'))
end
return 'OK'
