-- When a small blob was last written or found: `gc` leaves what was asked for lately alone. A large blob's
-- pin is the time of its file.
ALTER TABLE blobs ADD COLUMN pinned_ms INTEGER NOT NULL DEFAULT 0;
