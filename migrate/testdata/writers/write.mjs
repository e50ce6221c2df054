// Writes times and booleans into the file it is given as programs do, and ignores what is refused.
import sqlite from 'node-sqlite3-wasm'

const db = new sqlite.Database(process.argv[2])
const insert = (column, label, value) => {
  const [columns, values] = column === 'expires_at' ? ['expires_at', '?'] : ['expires_at, ' + column, "'2026-01-31 12:00:00', ?"]
  try {
    db.run(`INSERT INTO sessions (user_id, token_hash, ${columns}) VALUES (1, ?, ${values})`, ['node ' + label, value])
  } catch (e) {
    if (!e.message.includes('CHECK constraint failed')) throw e
  }
}
for (const [when, minutes] of [['past', -1], ['future', 1]]) {
  const at = new Date(Date.now() + minutes * 60_000)
  insert('expires_at', `${when} toISOString`, at.toISOString())
  insert('expires_at', `${when} toISOString without T and Z`, at.toISOString().replace('T', ' ').replace('Z', ''))
  insert('expires_at', `${when} toISOString with another end`, at.toISOString().replace('T', ' ').replace('Z', '+00:00'))
  insert('expires_at', `${when} milliseconds`, at.getTime())
  insert('expires_at', `${when} seconds`, Math.floor(at.getTime() / 1000))
  insert('expires_at', `${when} text`, at.toString())
  insert('expires_at', `${when} UTC text`, at.toUTCString())
  insert('expires_at', `${when} JSON`, JSON.stringify(at))
}
for (const [label, values] of [['on', [true, 1, 1n, 'true', '1', 'yes']], ['off', [false, 0, 0n, 'false', '0', '', 'no']]]) {
  for (const value of values) insert('is_active', `${label} ${typeof value} ${value}`, value)
}
db.close()
