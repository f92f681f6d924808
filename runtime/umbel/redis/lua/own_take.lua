-- Put some of what waits in an own queue aside, for those who wait for it to be told.
--
-- KEYS  1 meta, 2 what stands aside, 3 in-flight count, 4 park, 5 eta, 6 fair order, 7..16 ready lists by priority 0..9
-- ARGV  1 token of the janitor, 2 how many messages
-- Returns how many were put aside; -1 = a worker consumes the queue again, or another janitor ends it
--
-- What stands aside stands as if an owner held it, who never ends: whoever settles it counts once, and another janitor goes on
-- with what a dead one leaves. It is taken out first: see cycle.lua on a full Redis.

local call = redis.call
if call('HGET', KEYS[1], 'ending') ~= ARGV[1] then
  return -1
end
local messages, most = {}, tonumber(ARGV[2])
for i = 7, 16 do
  if #messages < most then
    local popped = call('LPOP', KEYS[i], most - #messages) or {}
    for j = 1, #popped do
      messages[#messages + 1] = popped[j]
    end
  end
end
for i = 4, 6 do
  if #messages < most then
    local popped = call('ZPOPMIN', KEYS[i], most - #messages)
    for j = 1, #popped, 2 do
      -- Of the park: the key, a zero byte, 17 bytes of its order, the message; see parts/places.lua.
      local cut = i == 4 and string.find(popped[j], '\0', 1, true) + 17 or 0
      messages[#messages + 1] = string.sub(popped[j], cut + 1)
    end
  end
end
if #messages > 0 then
  local first = call('HINCRBY', KEYS[2], '@', #messages) - #messages + 1
  for i = 1, #messages do
    call('HSET', KEYS[2], first + i - 1, messages[i])
  end
  call('INCRBY', KEYS[3], #messages)
end
return #messages
