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

-- What the ends of deliveries free, besides the message itself: their places, and the locks of unique tasks.
--
-- KEYS from `key` on: hold, park (where places are freed), then the lock of each unique task
-- ARGV from `at` on: owner, number of places, their tags, number of locks, then for each: tag, task id,
--       "0" = ended, else ms that the lock lives on (the task is retried)
--
-- Appends to `backs` the messages that may have the places now. A lock goes only with its own task, and only if the end
-- counted: a message that was taken from this owner runs again, and keeps it.

local function free_all(at, key, lost, backs)
  local owner, places = ARGV[at], tonumber(ARGV[at + 1])
  at = at + 2
  if places > 0 then
    for i = 1, places do
      backs[#backs + 1] = free_place(KEYS[key], KEYS[key + 1], 'o:' .. owner .. ':' .. ARGV[at])
      at = at + 1
    end
    key = key + 2
  end
  local refused = {}
  for i = 1, #lost do
    refused[lost[i]] = true
  end
  local locks = tonumber(ARGV[at])
  at = at + 1
  for i = 1, locks do
    local id = ARGV[at + 1]
    local locked = redis.call('GETRANGE', KEYS[key], 0, #id)
    if not refused[tonumber(ARGV[at])] and locked == id .. '\n' then
      if ARGV[at + 2] == '0' then
        redis.call('DEL', KEYS[key])
      else
        redis.call('PEXPIRE', KEYS[key], ARGV[at + 2])
      end
    end
    at = at + 3
    key = key + 1
  end
end
