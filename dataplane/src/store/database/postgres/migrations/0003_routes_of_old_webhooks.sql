-- In a transaction of its own: replicas of the version before go on adding webhooks meanwhile.
UPDATE webhooks SET route = webhook_route_of(url) WHERE route IS NULL;
