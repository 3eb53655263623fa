#!lua flags=allow-oom
-- Ends an import: from now on servers may use the store.
-- ARGV: what the import began with, epoch, the engine's run_id, the time of the newest post.
if redis.call('GET', '{gc}:import') ~= ARGV[1] then
  return redis.error_reply('LOST what was imported is not there any more; import it again')
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
-- Lives are numbered by the clock. Times go on after those of the posts, unless these are ahead:
-- all that follow would have that time.
redis.call('HSET', '{gc}:life', 'life', string.format('%.0f', now), 'epoch', ARGV[2],
  'run', ARGV[3], 'format', 1, 'time', string.format('%.0f', math.min(ARGV[4], now)))
redis.call('DEL', '{gc}:import')
