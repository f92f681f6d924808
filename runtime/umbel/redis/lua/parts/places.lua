-- Part of several scripts: the places of concurrency limits, and what waits for one.
--
-- hold  "k:<key>" -> how many places of a key are taken; "o:<owner>:<tag>" -> the key of which a delivery has a place
-- park  "<key>", a zero byte, 9 - priority (1 byte), enqueued at and nonce (8 bytes each), message; all with score 0, so
--       that they are sorted as text: by key, and for one key by priority and age
--
-- A place is freed by deleting its "o:" field, which happens once, whoever does it: the end of the delivery, or a burial.

local RESERVED, WOKEN = 1, 2 -- flags of a message, see message.py

local function flag(message, set, clear)
  local flags = bit.band(bit.bor(string.byte(message, 2), set), 255 - clear)
  return string.sub(message, 1, 1) .. string.char(flags) .. string.sub(message, 3)
end

-- Take the first message of a key out of the park; nil if none waits.
local function unpark(park, key)
  local member = redis.call('ZRANGEBYLEX', park, '[' .. key .. '\0', '(' .. key .. '\1', 'LIMIT', 0, 1)[1]
  if not member then
    return nil
  end
  redis.call('ZREM', park, member)
  return flag(string.sub(member, #key + 19), WOKEN, 0)
end

-- Free the place of a delivery, if it has one; return the message that may have it next.
local function free_place(hold, park, holder)
  local key = redis.call('HGET', hold, holder)
  if not key then
    return nil
  end
  redis.call('HDEL', hold, holder)
  if redis.call('HINCRBY', hold, 'k:' .. key, -1) <= 0 then
    redis.call('HDEL', hold, 'k:' .. key)
  end
  return unpark(park, key)
end
