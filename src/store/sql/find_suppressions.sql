SELECT anonymous_id, accepted_from FROM identity_suppressions WHERE anonymous_id = ANY ($1)
