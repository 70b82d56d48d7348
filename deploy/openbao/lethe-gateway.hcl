# What a gateway of role "data" may do with the root keys of a domain: open what they wrapped.
# The transit engine is mounted at lethe/ and holds nothing else. Another mount: change it in every path.

path "lethe/keys/+" {
  capabilities = ["read"]
}

path "lethe/decrypt/+" {
  capabilities = ["update"]
}
