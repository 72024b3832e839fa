-- By which route a webhook came: the provider, the method, and the provider's own word for it.
ALTER TABLE webhooks ADD COLUMN route TEXT COLLATE "C";

-- The route of a webhook from before, and of one that a replica of the version before still writes. The URL that was called
-- says it; any other URL is that of an entry of Twilio's own log.
CREATE FUNCTION webhook_route_of(url TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN path LIKE '%/webhooks/%/%/twilio/status/att-________________________________'
            THEN 'twilio POST status/' || right(path, 36)
        WHEN path LIKE '%/webhooks/%/%/twilio/status' THEN 'twilio POST status'
        WHEN path LIKE '%/webhooks/%/%/twilio/inbound' THEN 'twilio POST inbound'
        ELSE 'twilio LOG'
    END
    FROM (SELECT split_part(url, '?', 1) AS path) AS called
$$;

-- The log as it is read. Nothing is rewritten: the log may hold more than one transaction should touch. A later version,
-- when retention has let go of the last webhook without a route, drops the view and the function.
CREATE VIEW logged_webhooks AS
    SELECT tenant, received_at, id, sender, url, headers, body, COALESCE(route, webhook_route_of(url)) AS route
    FROM webhooks;
