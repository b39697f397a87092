DELETE FROM event_properties WHERE source = $1
