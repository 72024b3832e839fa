-- The provider's own id of an attempt's request.
ALTER TABLE attempts ADD COLUMN provider_request_id TEXT COLLATE "C";
