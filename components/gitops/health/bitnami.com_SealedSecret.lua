-- Whether a sealed secret can be read, of what Git has now.
--
-- Argo CD's own check (resource_customizations/bitnami.com/SealedSecret) has two gaps that this one closes. It goes by
-- what the controller has said of an older version, until the controller has seen the new one: a value that nothing can
-- read is Healthy for that time. And it does not say what to do.
local health = { status = "Progressing", message = "Waiting for the controller to read it" }
if obj.status == nil then
  return health
end
-- The controller counts what it has seen; one that does not is taken at its word.
local seen = obj.status.observedGeneration
if seen ~= nil and obj.metadata.generation ~= nil and seen < obj.metadata.generation then
  return health
end
for _, condition in ipairs(obj.status.conditions or {}) do
  if condition.type == "Synced" and condition.status == "True" then
    return { status = "Healthy", message = "The Secret is there" }
  end
  if condition.type == "Synced" and condition.status == "False" then
    local why = condition.message or condition.reason or "the controller does not say why"
    local fix = "seal it anew for this namespace and name: make seal NAME=" .. obj.metadata.name .. " KEY=... ENV="
    return { status = "Degraded", message = why .. "; " .. fix .. obj.metadata.namespace }
  end
end
return health
