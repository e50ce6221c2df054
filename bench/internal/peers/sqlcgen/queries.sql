-- name: CheckSession :one
SELECT s.id, s.user_id, s.ip, s.user_agent, s.is_active, s.last_used_at, s.expires_at, s.created_at,
       u.name, u.email, u.role, u.provider, u.avatar, u.is_email_verified, u.last_login_at, u.created_at AS user_created_at,
       u.is_deleted, u.lock_until, u.suspended_until
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.token_hash = ?;

-- name: FindUser :one
SELECT * FROM users WHERE email = ? AND is_deleted = false;

-- name: NewestCode :one
SELECT * FROM otps WHERE email = ? AND type = ? ORDER BY id DESC LIMIT 1;

-- name: UseCode :execrows
UPDATE otps SET attempts = attempts + 1, is_used = sqlc.arg(right_one), used_at = sqlc.arg(used_at)
WHERE id = ? AND is_used = false AND expires_at > sqlc.arg(now) AND attempts < max_attempts;

-- name: TakeRefreshToken :execrows
UPDATE refresh_tokens SET is_revoked = true, revoked_at = sqlc.arg(revoked_at), replaced_by_token_hash = sqlc.arg(next_hash)
WHERE token_hash = sqlc.arg(token_hash) AND is_revoked = false AND expires_at > sqlc.arg(now) AND created_at > sqlc.arg(idle_since);

-- name: RefreshTokenOwner :one
SELECT t.expires_at, u.id, u.name, u.email, u.role, u.provider, u.avatar, u.is_email_verified, u.last_login_at,
       u.created_at, u.is_deleted, u.lock_until, u.suspended_until
FROM refresh_tokens t JOIN users u ON u.id = t.user_id
WHERE t.token_hash = ?;

-- name: AddRefreshToken :exec
INSERT INTO refresh_tokens (user_id, token_hash, expires_at, created_at) VALUES (?, ?, ?, ?);
