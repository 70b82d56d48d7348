# What `lethe domain init` and a gateway of role "control" may do besides: make root keys, wrap under them, destroy them.
# No "create" on encrypt: an encryption under a key that is gone must fail and not make a new key.
# No path for rotate, export, backup, restore, import or soft-delete: nothing of that is ever permitted.

path "lethe/keys/+" {
  capabilities = ["update", "read", "delete"]
  allowed_parameters = {
    "type"                   = ["aes256-gcm96"]
    "exportable"             = [false]
    "allow_plaintext_backup" = [false]
    "derived"                = [false]
  }
}

path "lethe/keys/+/config" {
  capabilities = ["update"]
  allowed_parameters = {
    "deletion_allowed" = [true]
  }
}

path "lethe/encrypt/+" {
  capabilities = ["update"]
}

path "lethe/decrypt/+" {
  capabilities = ["update"]
}
