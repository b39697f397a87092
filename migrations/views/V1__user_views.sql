-- The user view database. Its tables come with the user-views role; the schema is here so that both
-- databases exist, with their roles, from the first start on.
COMMENT ON SCHEMA public IS 'momsflow user views';
