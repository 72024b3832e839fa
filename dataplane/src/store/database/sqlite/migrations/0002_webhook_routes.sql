-- By which route a webhook came: the provider, the method, and the provider's own word for it.
ALTER TABLE webhooks ADD COLUMN route TEXT;

-- The log as it is read. The URL that was called says the route of a webhook from before; any other URL is that of an entry
-- of Twilio's own log. A later version, when retention has let go of the last webhook without a route, drops the view.
CREATE VIEW logged_webhooks AS
    SELECT tenant, received_at, id, sender, url, headers, body, COALESCE(route, CASE
        WHEN path LIKE '%/webhooks/%/%/twilio/status/att-________________________________'
            THEN 'twilio POST status/' || substr(path, -36)
        WHEN path LIKE '%/webhooks/%/%/twilio/status' THEN 'twilio POST status'
        WHEN path LIKE '%/webhooks/%/%/twilio/inbound' THEN 'twilio POST inbound'
        ELSE 'twilio LOG'
    END) AS route
    FROM (SELECT *, CASE instr(url, '?') WHEN 0 THEN url ELSE substr(url, 1, instr(url, '?') - 1) END AS path
          FROM webhooks) AS called;
