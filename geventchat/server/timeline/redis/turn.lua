#!lua
-- Stores a turn: what a node submits at once, in its order. Asked for again, it is answered again.
-- ARGV: node, life, the turn's number, msgpack of the submissions: see turn.py, as for the results.
-- Gives the id of the feed's entry which the verdicts have to wait for, the time, and the results.
--
-- Nothing is rolled back, so what can fail comes first: a submission reads all keys that it writes,
-- and a key of another type fails it there, alone.
-- include posts.lua
local SAY, TOPIC, EDIT, REDACT = 0, 1, 2, 3
local STORED, REPEATED, CONFLICT, CHANGED = 0, 1, 2, 3
local UNCHANGED, REFUSED, FAILED, SET = 4, 5, 6, 7
local NO_POST, OF_OTHERS, REDACTED = 1, 2, 3

local stored_life = redis.call('HMGET', '{gc}:life', 'life', 'time')
if stored_life[1] ~= ARGV[2] or redis.call('HEXISTS', '{gc}:leases', ARGV[1]) == 0 then
  return redis.error_reply('FENCED this node has no lease any more')
end
local number = tonumber(ARGV[3])
local former = redis.call('HGET', '{gc}:nodes', ARGV[1])
if former then
  former = cmsgpack.unpack(former)
  if number == former[1] then
    return {former[2], former[3], former[4]}
  elseif number < former[1] then
    return redis.error_reply('STALE a later turn is stored')
  end
end
if redis.call('TYPE', '{gc}:feed').ok ~= 'stream' then  -- then a new life has to begin
  return redis.error_reply('FENCED the feed is missing')
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
now = math.max(now, tonumber(stored_life[2] or 0))
local time = string.format('%.0f', now)
local stores = false

local function say(submission)
  local room, post, slot = submission[2], submission[3], submission[4]
  local position = slot and redis.call('HGET', key('keys', room), slot)
  if position then
    local at, fields = stored(room, position)
    if at == nil then
      damaged(room, 'a post that has a key')
    end
    -- Nothing is known any more of a text that was changed.
    local same = not at or cmsgpack.unpack(fields)[2] == cmsgpack.unpack(post)[2]
    return same and {REPEATED, tonumber(position)} or {CONFLICT}
  end
  local id = redis.call('XADD', '{gc}:room:' .. room, '0-*', 't', time, 'p', post)
  stores = true
  position = string.sub(id, 3)
  if slot then
    redis.call('HSET', key('keys', room), slot, position)
  end
  if position == '1' then
    redis.pcall('ZADD', '{gc}:rooms', 0, room)
  end
  return {STORED, tonumber(position)}
end

local function topic(submission)
  local room, text, listed = submission[2], submission[3], submission[5]
  redis.call('ZSCORE', '{gc}:rooms', room)
  redis.call('ZSCORE', '{gc}:listed', room)
  redis.call('HGET', '{gc}:topics', room)
  stores = true
  redis.call('ZADD', '{gc}:rooms', 0, room)
  if text == '' then
    redis.call('HDEL', '{gc}:topics', room)
    redis.call('ZREM', '{gc}:listed', room)
  else
    redis.call('HSET', '{gc}:topics', room, text)
    if listed then
      redis.call('ZADD', '{gc}:listed', 0, room)
    end
  end
  return {SET}
end

-- A post as its latest change has it; nothing if it is not stored.
local function post_at(room, position)
  local at, fields = stored(room, position)
  if at == nil then
    return nil
  elseif at then
    local text = cmsgpack.unpack(fields)[2]
    -- Without its text, and not packed anew, which would lose what is nil.
    local author = cmsgpack.unpack_one(fields, 1)
    local rest = cmsgpack.unpack_one(fields, author)
    fields = string.sub(fields, 1, author) .. '\160' .. string.sub(fields, rest + 1)
    return {change = 0, redacted = false, text = text, time = tonumber(at), fields = fields}
  end
  local change = cmsgpack.unpack(fields)
  return {
    change = change[1], redacted = change[5], text = change[6], time = change[7],
    fields = change[8],
  }
end

local function change(submission)
  local kind, room, position, text, by, account, client, may_any = unpack(submission)
  local at = string.format('%.0f', position)
  local post = post_at(room, at)
  if not post then
    return {REFUSED, NO_POST}
  end
  local fields = cmsgpack.unpack(post.fields)
  if not (kind == REDACT and may_any) then
    local of_client, of_account, hook = fields[3], fields[5], fields[6]
    local own
    if of_account then
      own = of_account == account
    else
      own = of_client ~= '' and of_client == client and not hook
    end
    if not own then
      return {REFUSED, OF_OTHERS}
    end
  end
  if kind == EDIT and post.redacted then
    return {REFUSED, REDACTED}
  end
  local same = post.text == text
  if kind == REDACT then
    same = post.redacted
  end
  if same then
    return {UNCHANGED, post.change}
  end
  local top = top_of(room)
  redis.call('ZSCORE', key('order', room), at)
  redis.call('HGET', key('moved', room), at)
  redis.call('LLEN', '{gc}:remains')
  local number = redis.call('HINCRBY', '{gc}:changes', room, 1)
  stores = true
  redis.call('HSET', key('changed', room), at, cmsgpack.pack({
    number, top, by, account, kind == REDACT, text, post.time, post.fields,
  }))
  redis.call('ZADD', key('order', room), number, at)
  redis.call('XDEL', key('room', room), '0-' .. at)
  redis.call('HDEL', key('moved', room), at)
  if kind == REDACT then
    redis.call('RPUSH', '{gc}:remains', cmsgpack.pack({room, position}))
  end
  return {CHANGED, number}
end

local takers = {[SAY] = say, [TOPIC] = topic, [EDIT] = change, [REDACT] = change}
local results = {}
for place, submission in ipairs(cmsgpack.unpack(ARGV[4])) do
  local taken, result = pcall(takers[submission[1]], submission)
  results[place] = taken and result or {FAILED}
end
results = cmsgpack.pack(results)
local entry
if stores then
  entry = redis.call('XADD', '{gc}:feed', ARGV[2] .. '-*',
    'n', ARGV[1], 't', ARGV[3], 'm', time, 'b', ARGV[4], 'r', results)
  redis.call('HSET', '{gc}:life', 'time', time)
else
  entry = redis.call('XREVRANGE', '{gc}:feed', '+', '-', 'COUNT', 1)[1]
  entry = entry and entry[1] or '0-0'
end
redis.call('HSET', '{gc}:nodes', ARGV[1], cmsgpack.pack({number, entry, now, results}))
return {entry, now, results}
