-- Whether an analysis can find anything bad. Argo CD has no check for this kind: a template has no status, so that
-- a mistake in it is seen by nobody until a Rollout uses it, and one that can't fail not even then.
local function degraded(message)
  return { status = "Degraded", message = message }
end

local metrics = obj.spec.metrics or {}
if #metrics == 0 and #(obj.spec.templates or {}) == 0 then
  return degraded("It measures nothing; give it spec.metrics")
end
for _, metric in ipairs(metrics) do
  local name, provider = metric.name or "?", metric.provider or {}
  -- A Job has succeeded or failed, and Kayenta has thresholds of its own.
  local judges = provider.job ~= nil or provider.kayenta ~= nil
  if not judges and (metric.successCondition or "") == "" and (metric.failureCondition or "") == "" then
    return degraded("Metric " .. name .. " calls everything good; give it a successCondition or a failureCondition")
  end
  if provider.prometheus ~= nil and (provider.prometheus.query or "") == "" then
    return degraded("Metric " .. name .. " asks Prometheus nothing; give it a query")
  end
end
return { status = "Healthy", message = "Every metric can fail; whether its queries can be read: make validate" }
