-- The sinks of a sender's last config, for what ends while no config has the sender.
ALTER TABLE senders ADD COLUMN sinks TEXT;
