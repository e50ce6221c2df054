package graph

// Allowed is the rule of who may use an account at all, beside what package auth knows of it, as a condition in SQL on
// a row u, such as "u.`status` = 'active'". Whom it excludes is refused like a suspended user, from the next check of a
// session on. The empty one excludes nobody.
const Allowed = ""

// FillIn sets what a new user needs and package auth knows nothing of.
func FillIn(*UserCreate) {}
