-- Health of a ControlPolicy in Argo CD: whether Probity does what the policy asks for. What it
-- finds in the cluster is in the message, and makes no deployment fail.
local health = {}

if obj.spec ~= nil and obj.spec.suspend == true then
  health.status = "Suspended"
  health.message = "The policy is suspended"
  return health
end

local status = obj.status
if status == nil or status.observedGeneration == nil
  or status.observedGeneration ~= obj.metadata.generation then
  health.status = "Progressing"
  health.message = "Probity has not judged this version yet"
  return health
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local ready = conditions.Ready
if ready == nil then
  health.status = "Progressing"
  health.message = "Probity has not said whether it is ready"
elseif ready.status == "True" then
  health.status = "Healthy"
  local compliant = conditions.Compliant
  health.message = compliant ~= nil and compliant.message or ready.message
elseif ready.status == "False" then
  health.status = "Degraded"
  health.message = ready.message
else
  health.status = "Progressing"
  health.message = ready.message
end
return health
