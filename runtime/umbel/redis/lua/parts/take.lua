-- Take messages that are ready, up to `want` in all, into `messages`.

-- Take a message, or refuse it: a suspect (its last process died holding others too) is delivered by itself.
local function accept(message)
  local suspect = #message >= 29 and string.byte(message, 8) + string.byte(message, 9) > 0
  if suspect and taken == 0 then
    alone = true
  elseif suspect or alone then
    alone = true
    return false
  end
  taken = taken + 1
  messages[taken] = message
  return true
end

local function take_from(list)
  local popped = redis.call('LPOP', list, want - taken)
  for i = 1, popped and #popped or 0 do
    if not accept(popped[i]) then
      for j = #popped, i, -1 do
        redis.call('LPUSH', list, popped[j])
      end
      return
    end
  end
end
