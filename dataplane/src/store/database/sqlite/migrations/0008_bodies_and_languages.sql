-- What the body said that a key was first used with, whatever its whitespace.
ALTER TABLE idempotency_keys ADD COLUMN content_sha256 BLOB;
-- The template's language that is sent, where it is not the one that was asked for.
ALTER TABLE messages ADD COLUMN served_language TEXT;
