-- Who revoked a link, and why.
ALTER TABLE contact_links ADD COLUMN revoked_by TEXT;
ALTER TABLE contact_links ADD COLUMN revoked_reason TEXT;
