-- The rule of ../floe.toml: -1 drops the record, 2 changes it and keeps its time.
function bill(tag, timestamp, record)
  if record.event ~= "llm.completion" or record.status >= 500 then
    return -1, 0, 0
  end
  local usage = record.usage
  return 2, timestamp, {
    name = "llm_usage",
    external_customer_id = record.org_id,
    timestamp = record.ts,
    external_id = record.request_id,
    metadata = {
      model = record.model,
      total_tokens = usage.total_tokens,
      _llm = {
        vendor = "openai",
        model = record.model,
        input_tokens = usage.prompt_tokens,
        output_tokens = usage.completion_tokens,
        total_tokens = usage.total_tokens,
      },
      cost_usd = record.cost_usd,
    },
  }
end
