-- What webhooks proved: that a number, in its canonical spelling, and a business-scoped id were one person's. The account is
-- the provider's, whose id it is.
CREATE TABLE contact_links (
    tenant     TEXT COLLATE "C" NOT NULL,
    phone      TEXT COLLATE "C" NOT NULL,
    account    TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen  BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX contact_links_by_user ON contact_links (tenant, user_id);
ALTER TABLE contact_links ADD PRIMARY KEY (tenant, phone, account, user_id);
