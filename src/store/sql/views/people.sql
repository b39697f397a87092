-- Those of these persons that there are.
SELECT is_user, id, state, viewed_on FROM people WHERE person_id = ANY ($1)
