-- Claims are kept by source, so that no other event speaks of them.
DELETE FROM identity_claims WHERE source = $1
