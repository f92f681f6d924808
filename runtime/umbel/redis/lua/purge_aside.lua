-- Put some of what waits in a queue aside: it was purged, and those who wait for it are to be told.
--
-- KEYS  1 eta, 2 park, 3 fair order, 4 in-flight count, 5 dropped messages, 6..15 ready lists by priority 0..9
-- ARGV  1 how many messages at the most, 2 flags that say so, see message.py
-- Returns {first tag, messages}

-- include set_aside

local flags = tonumber(ARGV[2])
local function mark(message)
  if #message < 29 then
    return message -- no message of ours
  end
  return string.sub(message, 1, 1) .. string.char(bit.bor(string.byte(message, 2), flags)) .. string.sub(message, 3)
end

return set_aside({unpack(KEYS, 6, 15)}, KEYS[1], KEYS[3], KEYS[2], KEYS[5], KEYS[4], tonumber(ARGV[1]), mark)
