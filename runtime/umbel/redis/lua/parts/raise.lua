-- Return a message with the count of two bytes at `offset` raised by one; offsets as umbel/message.py has them, plus one.
local function raise(message, offset)
  if #message < 29 then
    return message -- no message of ours: a worker will say so
  end
  local count = string.byte(message, offset) * 256 + string.byte(message, offset + 1)
  if count < 65535 then
    count = count + 1
  end
  return string.sub(message, 1, offset - 1) .. string.char(math.floor(count / 256), count % 256) .. string.sub(message, offset + 2)
end
