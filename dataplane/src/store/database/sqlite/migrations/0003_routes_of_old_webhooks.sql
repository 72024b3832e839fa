-- Webhooks from before get theirs from the URL that was called; any other URL is that of an entry of Twilio's own log.
UPDATE webhooks SET route = (
    SELECT CASE
        WHEN path LIKE '%/webhooks/%/%/twilio/status/%'
            THEN 'twilio POST status/' || substr(path, instr(path, '/twilio/status/') + length('/twilio/status/'))
        WHEN path LIKE '%/webhooks/%/%/twilio/status' THEN 'twilio POST status'
        WHEN path LIKE '%/webhooks/%/%/twilio/inbound' THEN 'twilio POST inbound'
        ELSE 'twilio LOG'
    END
    FROM (SELECT CASE instr(url, '?') WHEN 0 THEN url ELSE substr(url, 1, instr(url, '?') - 1) END AS path)
);
