-- What is stored of the posts of a room, for the scripts that include this.

local function key(kind, room)
  return '{gc}:' .. kind .. ':' .. room
end

local function damaged(room, what)
  error({err = 'DAMAGED ' .. what .. ' of ' .. room})
end

-- What XINFO says of a stream, by name; nothing if there is no such stream.
local function info_of(stream)
  if redis.call('EXISTS', stream) == 0 then
    return nil
  end
  local told, info = redis.call('XINFO', 'STREAM', stream), {}
  for place = 1, #told, 2 do
    info[told[place]] = told[place + 1]
  end
  return info
end

-- The newest position of a room, 0 if it never had a post.
local function top_of(room)
  local info = info_of(key('room', room))
  if not info then
    return 0
  end
  local top = string.match(info['last-generated-id'], '^0%-(%d+)$')
  if not top then
    damaged(room, 'the newest position')
  end
  return tonumber(top)
end

local function oldest_of(room)
  return tonumber(redis.call('HGET', '{gc}:oldest', room) or 1)
end

-- The two fields of an entry of a room's stream; nothing if it is not one of ours.
local function fields_of(entry)
  local fields = entry[2]
  if fields[1] == 't' and fields[3] == 'p' then
    return fields[2], fields[4]
  end
end

-- What was moved out of the stream, as an entry had it.
local function moved_of(room, position)
  local moved = redis.call('HGET', key('moved', room), position)
  if moved then
    return string.match(moved, '^(%d+) (.*)$')
  end
end

-- The time of a post and its fields, or false and its latest change; nothing if it is not stored.
local function stored(room, position)
  local change = redis.call('HGET', key('changed', room), position)
  if change then
    return false, change
  end
  local id = '0-' .. position
  local entry = redis.call('XRANGE', key('room', room), id, id)[1]
  if entry then
    return fields_of(entry)
  end
  return moved_of(room, position)
end

-- The time of a post, and its fields with the text that it had first or none; 0 if it is not stored.
local function first_state_of(room, position)
  local time, fields = stored(room, position)
  if time == false then
    local change = cmsgpack.unpack(fields)
    time, fields = change[7], change[8]
  end
  return tonumber(time or 0), fields
end

-- The first names from one on that begin with a prefix, of a sorted set of names.
local function names_in(set, prefix, low, most)
  return redis.call('ZRANGEBYLEX', set, '[' .. low, '(' .. prefix .. '\255', 'LIMIT', 0, most)
end
