-- The number of the sender that a message leaves through, for its events.
ALTER TABLE messages ADD COLUMN phone_number TEXT;
