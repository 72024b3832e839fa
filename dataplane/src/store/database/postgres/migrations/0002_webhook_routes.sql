-- By which route a webhook came: the provider, the method, and the provider's own word for it.
ALTER TABLE webhooks ADD COLUMN route TEXT COLLATE "C";

-- What the route of a webhook from before is: the URL that was called says it, and any other URL is that of an entry of
-- Twilio's own log.
CREATE FUNCTION webhook_route_of(url TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN path LIKE '%/webhooks/%/%/twilio/status/%'
            THEN 'twilio POST status/' || substr(path, strpos(path, '/twilio/status/') + length('/twilio/status/'))
        WHEN path LIKE '%/webhooks/%/%/twilio/status' THEN 'twilio POST status'
        WHEN path LIKE '%/webhooks/%/%/twilio/inbound' THEN 'twilio POST inbound'
        ELSE 'twilio LOG'
    END
    FROM (SELECT split_part(url, '?', 1) AS path) AS called
$$;

-- Replicas of the version before run on while this one starts, and write webhooks without a route. A later migration drops
-- the trigger and the function, and lets no route be null.
CREATE FUNCTION set_webhook_route() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.route := webhook_route_of(NEW.url);
    RETURN NEW;
END
$$;
CREATE TRIGGER webhooks_without_route BEFORE INSERT ON webhooks
    FOR EACH ROW WHEN (NEW.route IS NULL) EXECUTE FUNCTION set_webhook_route();
