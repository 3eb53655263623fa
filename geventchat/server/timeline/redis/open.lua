#!lua flags=no-writes
-- The state of a room, and the last entry of the feed, which all of that state is in.
-- ARGV: room. Gives the newest position, the oldest, the topic, the newest change, the feed's id.
-- include posts.lua
local room = ARGV[1]
local feed = info_of('{gc}:feed')
return {
  top_of(room),
  oldest_of(room),
  redis.call('HGET', '{gc}:topics', room) or '',
  tonumber(redis.call('HGET', '{gc}:changes', room) or 0),
  feed and feed['last-generated-id'] or '0-0',
}
