-- By which route a webhook came: the provider, the method, and the provider's own word for it.
ALTER TABLE webhooks ADD COLUMN route TEXT;
